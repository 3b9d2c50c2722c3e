-- expect: :3: error: output y depends on no input
local x = image("x", 3, 8, 8)
return network{output = {y = bitmaps.digits:relu(), z = x:relu()}}
