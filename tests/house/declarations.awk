# SPDX-License-Identifier: MIT
#
# parse(text) takes one C declaration apart: decl_name, decl_function (does it declare a function?)
# and decl_void (does that return nothing?). The name is the last bide_ identifier outside of
# parentheses, one before a "(" preferred: return types such as bide_task(int), and attributes, are
# passed over.
function parse(text,    depth, i, c, word) {
    decl_name = ""
    decl_function = 0
    decl_void = 0
    gsub(/\/\*[^*]*\*\//, "", text)
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c ~ /[A-Za-z0-9_]/) { word = word c; continue }
        if (word ~ /^bide_/ && depth == 0 && (!decl_function || substr(text, i) ~ /^ *\(/)) {
            decl_name = word
            decl_function = substr(text, i) ~ /^ *\(/
            decl_void = substr(text, 1, i - 1) ~ /(^| )void +bide_[A-Za-z0-9_]*$/
        }
        word = ""
        if (c == "(") depth++
        if (c == ")") depth--
        if (c == "=" && depth == 0) return
    }
}
