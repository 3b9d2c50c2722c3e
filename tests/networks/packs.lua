-- What pack makes of weights, for several batch sizes: a batch norm on an input, which one image computes
-- itself and several have packed; a weight that is read both as it is and folded; windows that stand apart,
-- where biases alone make what lies between them.
local classes = option{"classes", 4, choices = {4}}
local x, label, z = image("x", 3, 9, 9), class("label", classes), input("z", 39)

local both = share(param.both)
local left = x:conv(both, 16, {kernel = 3, bias = false})
local right = x:neg():conv(both, 16, {kernel = 3, bias = false}):batch_norm(param.norm)
local apart = x:conv_transpose(param.apart, 5, {kernel = 2, stride = 4, output_pad = 1}):square()
local y = (left:relu() + right):flatten():concat(apart:flatten())
local score = y:dense(param.a, classes) + z:batch_norm(param.z):dense(param.b, classes)
return network{
  output = {scores = score, normal = z:batch_norm(param.normal)},
  loss = score:cross_entropy(label),
  optimizer = sgd{momentum = 0.9},
}
