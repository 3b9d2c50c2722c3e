-- Values that end in a product and that sums read, in a loss and in its gradient, for which they are computed again: as they
-- are, with another sign, of a mean, and behind an activation. A sum could take them without rounding them first.
local x, to, third, label = image("x", 6, 18, 18), image("to", 8, 18, 18), image("third", 8, 6, 6), class("label", 5)
local both = x:conv(param.a, 16, {kernel = 3, pad = 1}):tanh()
local left, right = both:split(2)
local more, rest = x:conv(param.d, 16, {kernel = 3, pad = 1}):tanh():split(2)
local z = both
for i = 1, 3 do
  z = z:conv(param.b[i], 16, {kernel = 3, pad = 1}):tanh()
end
return network{
  output = {y = left * right},
  loss = (left * right):mse(to) + (1 - more * rest):mse(to) + (-(left * rest)):mse(to) + (more * right):leaky_relu(0.1):mse(to)
    + right:avg_pool(3):mse(third) + z:global_avg_pool():dense(param.c, 5):cross_entropy(label),
  optimizer = sgd{momentum = 0.9},
}
