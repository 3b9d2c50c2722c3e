-- expect: :4: error: init: 'lecun' must be said before the layers are made
local x = input("x", 7)
local y = x:dense(param.fc, 7)
init(param, "lecun")
return network{output = {y = y}}
