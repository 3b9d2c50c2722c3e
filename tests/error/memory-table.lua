-- expect: :3: error: not enough memory: more memory than a network file may use
local t = {}
for i = 1, 1 << 40 do t[i] = i end
