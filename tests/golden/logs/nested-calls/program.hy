(import klorpy [simulate-chor])
(defchor tell [From To] (-> From To) [x]
  (To (print "received"))
  (From->To x))
(defchor around [A B C] (-> A A) [x]
  (tell [C A] (tell [B C] (tell [A B] x))))
(setv told (simulate-chor around 5))
