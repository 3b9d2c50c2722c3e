-- Values that end in a product and that sums read, which could take them without rounding them first: in a loss and in its
-- gradient, for which they are computed again.
local x, to, half, label = image("x", 6, 16, 16), image("to", 8, 16, 16), image("half", 8, 8, 8), class("label", 5)
local both = x:conv(param.a, 16, {kernel = 3, pad = 1}):tanh()
local left, right = both:split(2)
local y = left * right
local z = both
for i = 1, 3 do
  z = z:conv(param.b[i], 16, {kernel = 3, pad = 1}):tanh()
end
return network{
  output = {y = y},
  loss = y:mse(to) + (left + right):leaky_relu(0.1):mse(to) + right:avg_pool(2):mse(half) + z:global_avg_pool():dense(param.c, 5):cross_entropy(label),
  optimizer = sgd{momentum = 0.9},
}
