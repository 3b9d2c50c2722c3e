-- expect: error-call.lua:4: error: only square images
local function check(h, w)
  if h ~= w then error("only square images", 2) end end
pcall = nil check(3, 4)
