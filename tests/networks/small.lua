-- A small classifier that learns by any optimizer; its weights are no multiples of any lanes.
local by = option{"optimizer", "sgd", help = "its name"}
local x, label = image("x", 1, 5, 5), class("label", 3)
local y = x:conv(param.conv, 3, {kernel = 2}):tanh():flatten():dense(param.fc, 3)
return network{output = {scores = y}, loss = y:cross_entropy(label), optimizer = _G[by]{}}
