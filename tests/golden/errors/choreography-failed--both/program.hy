(import klorpy [simulate-chor])
(defchor divide [A B] (-> #{A B} #{A B}) [n]
  (print "dividing")
  (int n))
(simulate-chor divide "ten")
