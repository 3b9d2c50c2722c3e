-- expect: :3: error: two outputs are named y
local x = image("x", 3, 8, 8)
return network{output = {{"y", x:relu()}, {"y", x:tanh()}}}
