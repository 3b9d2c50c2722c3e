-- Large enough for what a step hands to the next to go row by row: the gradient of local response normalisation, with
-- and without maps about it, behind a pooling's, whose windows overlap, and behind one's that masks decide.
local x, label = image("x", 3, 32, 32), class("label", 5)
local y = x:conv(param.a, 32, {kernel = 3, pad = 1}):relu():lrn(5, {alpha = 1})
local z = y:max_pool(3, {stride = 1, pad = 1}):lrn(4, {alpha = 0.5})
local score = (z + y):lrn(3):adaptive_avg_pool(5):flatten():dense(param.b, 5)
return network{
  output = {scores = score},
  loss = score:cross_entropy(label),
  optimizer = sgd{momentum = 0.9},
}
