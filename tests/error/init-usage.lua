-- expect: :6: error: init: there is no rule 'lecum'; did you mean lecun?
-- expect: :7: error: init has no option norml; did you mean normal?
-- expect: :8: error: init: normal is -1, must be a number not below 0
-- expect: :9: error: init takes a path and how its weights begin
local y = input("x", 7):dense(param.fc, 7)
init(param.fc, "lecum")
init(param.fc, {norml = 1})
init(param.fc, {normal = -1})
init(param.fc, {normal = 1, uniform = 1})
return network{output = {y = y}}
