(defchor sum [A B C] (-> A B #{A B}) [x y]
  (lifting [A B] (+ (A=>B x) y)))
