-- Local response normalisation of what others read, too: two of one operand, with windows of 5 and 9, beside a
-- concatenation of it that is an output; of an input, and with a window of 4; and of an output, with a window
-- longer than its channels.
local x, label = image("x", 4, 6, 6), class("label", 5)
local first = x:lrn(3) + x:conv(param.first, 4, {kernel = 3, pad = 1}):lrn(4, {alpha = 2})
local y = first:conv(param.a, 20, {kernel = 3, pad = 1}):relu()
local one, two = y:lrn(5, {alpha = 1}), y:lrn(9, {alpha = 0.5, beta = 1.25, k = 2})
local all = y:concat(one, two)
local few = all:conv(param.b, 4, {kernel = 2})
local score = (few:lrn(11, {alpha = 1, beta = 0.5}) * few):global_avg_pool():flatten():dense(param.c, 5)
return network{
  output = {all = all, few = few, scores = score},
  loss = score:cross_entropy(label) + all:square():mean(),
  optimizer = sgd{momentum = 0.9},
}
