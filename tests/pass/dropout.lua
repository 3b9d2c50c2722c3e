-- Numbers left out at random: not in inference; in training other ones in each layer, whatever its name, and
-- the same ones on the way back.
-- golden: passes  --dump=passes
local x, label = image("x", 4, 3, 3), class("label", 2)
local y = x:dropout():conv(param.conv, 4, {kernel = 3}):dropout{0.25, name = "drop"}:dropout{0.25, name = "drop"}
y = y:dropout():flatten():dense(param.fc, 2):dropout()
return network{output = {y = y}, loss = y:cross_entropy(label), optimizer = sgd{}}
