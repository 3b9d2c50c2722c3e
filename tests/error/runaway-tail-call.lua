-- expect: :2: error: too many instructions
local function f(n) return f(n + 1) end
f(0)
