-- Gradient-Based Learning Applied to Document Recognition, LeCun et al. 1998, II.B: LeNet-5.
-- 60,000 trainable parameters; 0.95 % of the MNIST test digits wrong (0.8 % with distorted training images).
-- -D variant=modern: max pooling, ReLU and a softmax, 61,706 parameters; about 1 % wrong after a few epochs.
--
-- Images of 32x32, the digit in the middle 28x28, white about -0.1 and black about 1.175 in the paper.
local modern   = option{"variant", "paper", choices = {"paper", "modern"}} == "modern"
local x, label = image("x", 1, 32, 32), class("label", 10)

if modern then
  local y = x:conv(param.conv1, 6, {kernel = 5}):relu():max_pool{2}
  y = y:conv(param.conv2, 16, {kernel = 5}):relu():max_pool{2}
  y = y:flatten():dense(param.fc1, 120):relu():dense(param.fc2, 84):relu():dense(param.fc3, 10)
  return network{output = {scores = y}, loss = y:cross_entropy(label), optimizer = sgd{momentum = 0.9}}
end

-- Which of S2's six maps each of C3's sixteen sees: the paper's table I.
local links = {
  {0,1,2}, {1,2,3}, {2,3,4}, {3,4,5}, {0,4,5}, {0,1,5},             -- three in a row, cyclic
  {0,1,2,3}, {1,2,3,4}, {2,3,4,5}, {0,3,4,5}, {0,1,4,5}, {0,1,2,5}, -- four in a row
  {0,1,3,4}, {1,2,4,5}, {0,2,3,5}, {0,1,2,3,4,5}                    -- two pairs; all six
}

init(param, "lecun")                                                -- uniform within 2.4 / fan-in
local y = x:conv(param.c1, 6, {kernel = 5}):scaled_tanh()           -- 1.7159 tanh(2/3 a)
y = y:subsample(param.s2, 2):scaled_tanh()
y = y:conv(param.c3, 16, {kernel = 5, links = links}):scaled_tanh()
y = y:subsample(param.s4, 2):scaled_tanh()
y = y:conv(param.c5, 120, {kernel = 5}):scaled_tanh()
y = y:flatten():dense(param.f6, 84):scaled_tanh()

-- The output layer: squared distance to a 7x12 picture of each digit; constants, not parameters.
local distance = y:rbf(bitmaps.digits)
return network{output = {scores = -distance}, loss = distance:map_loss(label, {j = 0.1}), optimizer = sgd{}}
