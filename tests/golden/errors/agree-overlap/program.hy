(defchor same [A B C] (-> A B C #{A B C}) [x y z]
  (agree! (A=>B x) y z))
