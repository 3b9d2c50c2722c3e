-- Convolutions that inference computes with fewer multiplications, several turns a task, for one image and for three:
-- batch norm folded in, a residual and a concatenation behind them; both sizes of taps, ragged tiles and channels; one
-- kernel that two convolutions share, as it is and turned.
local classes = option{"classes", 3, choices = {3}}
local x, label, both = image("x", 16, 12, 21), class("label", classes), share(param.both)

local y = x:conv(param.a, 16, {kernel = 3, pad = 1, bias = false}):batch_norm(param.norm)
local turned = x:conv(both, 16, {kernel = 3, pad = 1}):relu():conv(both, 16, {kernel = 3, pad = 1, flip = true})
local z = (y + x + turned):relu():concat(x:conv(param.b, 17, {kernel = 5, pad = 2}))
local score = z:global_avg_pool():flatten():dense(param.fc, classes)
return network{
  output = {scores = score},
  loss = score:cross_entropy(label),
  optimizer = sgd{momentum = 0.9},
}
