(defchor span [A B] (-> A #{A B}) [points]
  (let [[first #* middle last] (A=>B points)
        {x "x" y "y"} first
        #(p [q _]) last]
    (A (print middle))
    (+ x y p q)))
