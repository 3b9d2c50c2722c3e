-- Convolutions that inference computes with fewer multiplications: several turns a task, for one image and for
-- three; batch norm folded in, a residual and a concatenation behind them; both sizes of taps, ragged tiles.
local classes = option{"classes", 3, choices = {3}}
local x, label = image("x", 3, 24, 33), class("label", classes)

local y = x:conv(param.first, 16, {kernel = 1}):relu()
local z = y:conv(param.a, 16, {kernel = 3, pad = 1, bias = false}):batch_norm(param.norm):relu()
z = (z:conv(param.b, 16, {kernel = 3, pad = 1}) + y):relu()
local wide = z:conv(param.c, 20, {kernel = 5, pad = 2}):concat(z:conv(param.d, 17, {kernel = 3, pad = 1})):relu()
local score = wide:max_pool{2}:conv(param.e, 18, {kernel = 3}):global_avg_pool():flatten():dense(param.fc, classes)
return network{
  output = {scores = score},
  loss = score:cross_entropy(label),
  optimizer = sgd{momentum = 0.9},
}
