-- expect: :2: error: include takes a file's name
include(nil)
