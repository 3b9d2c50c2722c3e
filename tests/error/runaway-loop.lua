-- expect: :3: error: too many instructions: does this file come to an end?
local n = 0
while true do n = n + 1 end
