-- expect: :3: error: add: 
local x, y = image("x", 3, 8, 8), image("y", 4, 8, 8)
local z = x + y
return network{output = {z = z}}
