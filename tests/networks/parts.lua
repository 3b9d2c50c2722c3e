-- An output that is a concatenation whose parts are read before it is whole; batch norms that are folded
-- into a convolution; normalisation across channels; numbers left out at random, in two layers.
local classes = option{"classes", 36, choices = {36}}
local x, label = image("x", 3, 6, 5), class("label", classes)

local y = x:conv(param.conv1, 20, {kernel = 3, pad = 1, bias = false}):batch_norm(param.bn1):relu()
y = y:conv(param.conv2, 32, {kernel = 3, stride = 2, pad = 1, bias = false}):batch_norm(param.bn2)
y = y:lrn{5, alpha = 0.1}:conv(param.conv3, 16, {kernel = 1, groups = 2}):relu():dropout(0.25):flatten()

local a = y:dense(param.a, 16)
local b = (a + y:dense(param.b, 16)):relu():dropout()
local c = b:dense(param.c, 4)
local score = a:concat(b, c)
return network{
  output = {scores = score},
  loss = score:cross_entropy(label) + 0.1 * c:square():mean(),
  optimizer = sgd{momentum = 0.9},
}
