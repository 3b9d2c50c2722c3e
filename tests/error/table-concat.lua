-- expect: :3: error: not enough memory
local t, s = {}, string.rep("x", 1 << 19)
for i = 1, 1000 do t[i] = s end table.concat(t)
