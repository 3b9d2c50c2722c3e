-- expect: :3: error: division by zero
local x = input("x", 7)
local y = x / 0
