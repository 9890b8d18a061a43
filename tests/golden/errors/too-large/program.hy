(import klorpy.behaviour [parse-protocol local-type])
(setv flip "(branch A B (heads) (tails))")
(setv flips (parse-protocol (+ "(defprotocol Flips [A B C] " (* flip 20) ")")))
(print (local-type flips "A" :merging "plain"))
