-- expect: :2: error: include 'parts' is no plain file
include "parts"
