-- expect: shared-weight-shape.lua:7: error: conv1: input has 3 channels, weight expects 4
-- expect: shared-weight-shape.lua:11: note: called from here
-- expect-not: :12:
local p = share(param.conv1)
local a, b = image("a", 4, 8, 8), image("b", 3, 8, 8)
local function look(x)
  return (x:conv(p, 6, {kernel = 3}))
end

local y = look(a)
local z = look(b):relu()
local w = z + y:max_pool{2}
return network{output = {y = y, w = w}}
