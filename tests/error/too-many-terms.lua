-- expect: :3: error: a sum of more than 1000 terms
local x = input("x", 3)
local function f(n) local s = x:mean() for i = 1, n do s = s + x:mean() end return s end
local s = f(2000)
