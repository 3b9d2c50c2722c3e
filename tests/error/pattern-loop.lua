-- expect: :3: error: too many instructions
local s = string.rep("a", 3000)
for i = 1, 1e9 do s:find(".-x") end
