-- The whole text of a network as small as they come, plain C.
-- golden: c  --target=generic -b 1 -o -
local x, label = image("x", 1, 4, 4), class("label", 2)
local y = x:conv(param.conv, 2, {kernel = 3, pad = 1}):relu():max_pool{2}
y = y:flatten():dense(param.fc, 2)
return network{output = {y = y}, loss = y:cross_entropy(label), optimizer = sgd{momentum = 0.9}}
