-- expect: runtime.lua:4: error: attempt to index a nil value (local 'x')
-- expect: runtime.lua:6: note: called from here
local function block(x)
  local y = x.channels return y
end
local y = block(nil)
