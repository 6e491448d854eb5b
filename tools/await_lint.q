# Two forms that g++-12 compiles into a double destruction: a lambda or a non-trivial braced record built inside a co_await
# expression, and co_await inside ?: . Name the value first, or use an if. Run by tools/await_lint.py.
set output diag
set bind-root false
match coawaitExpr(unless(isExpansionInSystemHeader()), hasDescendant(expr(anyOf(lambdaExpr(), initListExpr(hasType(hasUnqualifiedDesugaredType(recordType(hasDeclaration(cxxRecordDecl(has(cxxDestructorDecl()))))))))).bind("hazard")))
match conditionalOperator(unless(isExpansionInSystemHeader()), hasDescendant(coawaitExpr())).bind("hazard")
