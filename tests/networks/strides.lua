-- Large strides: windows that stand apart, with and without gaps and rests, and one that overlaps,
-- whose stride has too many phases.
local x, label = image("x", 1, 30, 31), class("label", 5)

local y = x:conv(param.conv1, 6, {kernel = 3, pad = 1}):relu()
local score = y:max_pool{24}:flatten():dense(param.a, 5)
score = score + y:avg_pool{13}:flatten():dense(param.b, 5)
score = score + y:conv(param.conv2, 16, {kernel = 3, stride = 10}):relu():flatten():dense(param.c, 5)
score = score + y:max_pool{14, stride = 12, pad = 1}:flatten():dense(param.d, 5)
score = score + y:conv(param.conv3, 4, {kernel = 13, stride = {11, 12}, pad = 2}):flatten():dense(param.e, 5)

-- a stride over one of several parts: its gradient leaves gaps in the whole's, beside the others
local a, b, c, d = x:conv(param.conv4, 4, {kernel = 3}):split(4)
score = score + a:conv(param.conv5, 7, {kernel = {2, 1}, stride = {1, 3}}):global_avg_pool():flatten():dense(param.f, 5)
return network{
  output = {scores = score},
  loss = score:cross_entropy(label) + b:mean() + c:mean() + d:mean() + d:max(),
  optimizer = sgd{momentum = 0.9},
}
