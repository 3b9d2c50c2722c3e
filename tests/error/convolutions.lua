-- expect: :18: error: a: pad is 'samey', must be numbers or one of: valid same full; did you mean same?
-- expect: :19: error: b: pad is a table, must be a whole number, {height, width} of numbers or of {before, after}, or one of: valid same full
-- expect: :20: error: c: pad is a table, must be a whole number, {height, width} of numbers or of {before, after}, or one of: valid same full
-- expect: :21: error: d: pad is -2, must be at least 0
-- expect: :22: error: e: pad is a table, must be a whole number, {height, width} of numbers or of {before, after}, or one of: valid same full
-- expect: :23: error: max_pool: pad is 2x1, at most half of the kernel 3x3 is allowed
-- expect: :24: error: f: input is 1x4x20, a line: kernel is one number, there is no height
-- expect: :25: error: g: input is 1x4x20, a line: pad is one number or {{before, after}}, there is no height
-- expect: :26: error: h: input is 20 wide with 0 of padding, too small for a kernel of 30
-- expect: :27: error: i: output_pad is 2x2, must be smaller than the stride
-- expect: :28: error: j: pad = 'same' has its size, output_pad is one too many
-- expect: :29: error: k: the padding leaves nothing: the result would be -1x-1
-- expect: :30: error: l: 4 input and 6 output channels do not fall into 4 groups
-- expect: :31: error: m: conv_transpose has no option 'links'
-- expect: :32: error: n: input is 1x10, a convolution expects batch x channels x height x width, or of lines batch x channels x width
-- expect: :33: error: input takes a name and sizes: input("z", 100) of features, input("s", 2, 500) of lines, their channels and width, or those of images, input("x", 3, 32, 32)
local x, s = image("x", 4, 9, 9), input("s", 4, 20)
x:conv(param.a, 4, {kernel = 3, pad = "samey"})
x:conv(param.b, 4, {kernel = 3, pad = {1, 2, 3}})
x:conv(param.c, 4, {kernel = 3, pad = {{1, 2}, {3, 4, 5}}})
x:conv(param.d, 4, {kernel = 3, pad = {{1, -2}, 3}})
x:conv(param.e, 4, {kernel = 3, pad = {1.5, 2}})
x:max_pool{3, pad = {{0, 2}, 1}}
s:conv(param.f, 4, {kernel = {3, 5}})
s:conv(param.g, 4, {kernel = 3, pad = {1, 2}})
s:conv(param.h, 4, {kernel = 30})
x:conv_transpose(param.i, 4, {kernel = 3, stride = 2, output_pad = 2})
x:conv_transpose(param.j, 4, {kernel = 3, stride = 2, pad = "same", output_pad = 1})
x:conv_transpose(param.k, 4, {kernel = 3, pad = 6})
x:conv_transpose(param.l, 6, {kernel = 3, groups = 4})
x:conv_transpose(param.m, 6, {kernel = 3, links = {{0}}})
input("z", 10):conv(param.n, 4, {kernel = 3})
input("t", 2, 3, 4, 5)
return network{output = {x = x:conv(param.o, 2, {kernel = 3, pad = {{1, 2}}})}}
