-- expect: :3: error: not enough memory: a string of more than a million bytes
local s = "x"
while true do s = s .. s end
