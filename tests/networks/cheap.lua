-- What is cheap to compute again, in all its forms: batch norms, activations, products and sums, channels that
-- are joined and parted, and pooling; beside them a branch without batch norm, which is kept with what it joins.
local x, label = image("x", 3, 12, 10), class("label", 5)

local function conv(x, p, out, kernel, stride)
  return x:conv(p.conv, out, {kernel = kernel, stride = stride or 1, pad = kernel // 2, bias = false}):batch_norm(p.norm)
end

local function branches(x, p)
  local pooled = conv(x:max_pool{3, stride = 1, pad = 1}, p[2], 4, 1):sigmoid()
  local mean = conv(x:avg_pool{3, stride = 1, pad = 1}, p[3], 5, 1):leaky_relu(0.1)
  return conv(x, p[0], 16, 1):relu():concat(conv(conv(x, p[1][0], 6, 1):tanh(), p[1][1], 7, 3):relu6(), pooled, mean)
end

local y = conv(x, param.stem, 16, 3):relu():max_pool{3, stride = 2, pad = 1}
y = branches(branches(y, param.a), param.b)
y = (conv(y, param.c[0], 32, 3) + conv(y, param.c[1], 32, 1)):relu()
y = (conv(y, param.d[0], 32, 3) + y):relu()
local left, right = y:split(2)
y = (left * conv(right, param.e, 16, 1):sigmoid()):concat(y:slice(3, 12), y:conv(param.f, 8, {kernel = 1}):relu())
y = conv(y, param.g, 20, 3):relu():flatten():dense(param.h, 12):tanh()
local scores = y:dense(param.fc, 5)
return network{
  output = {scores = scores},
  loss = scores:cross_entropy(label),
  optimizer = sgd{momentum = 0.9},
}
