-- expect: :2: error: image takes a name, channels, height and width: image("x", 3, 32, 32)
local x = image("x", 32, 32)
