(import klorpy.behaviour [parse-system])
(parse-system "(system (buyer (send seller order)))")
