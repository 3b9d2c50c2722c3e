-- Large enough for batch norm and ReLU to be made where a pooling reads them, forward and in the pooling's gradient, and
-- for those that a pooling reads nine times each to stay as they are.
local x, label = image("x", 3, 64, 64), class("label", 5)
local y = x:conv(param.a, 16, {kernel = 3, pad = 1, bias = false}):batch_norm(param.norm):relu()
local z = y:max_pool(3, {stride = 2, pad = 1}):conv(param.b, 64, {kernel = 1, bias = false}):batch_norm(param.other):relu()
local once, often = z:avg_pool(2), z:max_pool(3, {stride = 1, pad = 1})
local score = (once + often:max_pool(2)):global_avg_pool():dense(param.c, 5)
return network{
  output = {scores = score},
  loss = score:cross_entropy(label),
  optimizer = sgd{momentum = 0.9},
}
