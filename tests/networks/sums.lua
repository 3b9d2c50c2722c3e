-- Sums over whole images, of which each must be as exact in float as a few roundings allow: statistics and
-- their gradients, gradients of convolutions, windows, a dense layer over all.
local x, label = image("x", 16, 72, 90), class("label", 5)

local y = x:batch_norm(param.norm)
local score = x:conv(param.conv, 8, {kernel = 3}):global_avg_pool():flatten():dense(param.a, 5)
score = score + y:conv(param.reduce, 4, {kernel = 1, bias = false}):relu():flatten():dense(param.b, 5)
return network{
  output = {scores = score},
  loss = score:cross_entropy(label) + y:mean(),
  optimizer = sgd{momentum = 0.9},
}
