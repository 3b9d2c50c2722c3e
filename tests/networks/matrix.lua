-- Weights whose gradients by data are summed over parts of a matrix's rows: many rows that are short, and
-- fewer that are long.
local x, label = input("x", 20), class("label", 5)

local y = x:dense(param.a, 80):relu():dense(param.b, 1000):relu():dense(param.c, 96):relu()
local score = y:dense(param.d, 5)
return network{
  output = {scores = score},
  loss = score:cross_entropy(label),
  optimizer = sgd{momentum = 0.9},
}
