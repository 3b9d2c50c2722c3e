-- A convolution with vectors: register tiles, their functions, the blocks of a pool.
-- golden: c  --target=avx2 --inference -b 1 -o -
local x = image("x", 16, 6, 7)
return network{output = {y = x:conv(param.conv, 16, {kernel = 1}):relu()}}
