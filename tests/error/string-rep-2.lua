-- expect: :2: error: string.rep: a string of
local s = string.rep("", 1 << 62, "ab")
