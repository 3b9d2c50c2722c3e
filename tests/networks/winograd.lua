-- Convolutions that inference computes with fewer multiplications, several turns a task, for one image and for three:
-- batch norm folded in, a residual and a concatenation behind them; both sizes of taps, ragged tiles and channels.
local classes = option{"classes", 3, choices = {3}}
local x, label = image("x", 16, 12, 21), class("label", classes)

local y = x:conv(param.a, 16, {kernel = 3, pad = 1, bias = false}):batch_norm(param.norm)
local z = (y + x):relu():concat(x:conv(param.b, 17, {kernel = 5, pad = 2}))
local score = z:global_avg_pool():flatten():dense(param.fc, classes)
return network{
  output = {scores = score},
  loss = score:cross_entropy(label),
  optimizer = sgd{momentum = 0.9},
}
