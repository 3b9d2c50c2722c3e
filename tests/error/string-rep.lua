-- expect: :2: error: string.rep: a string of
local s = ("x"):rep(1 << 40)
