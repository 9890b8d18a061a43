(import klorpy [simulate-chor])
(import sys)
(defchor talk [A B] (-> A B) [x]
  (A (print "one\ntwo" :end ""))
  (A (print " three"))
  (B (print))
  (A (.write sys.stdout "no newline"))
  (A->B x))
(setv talked (simulate-chor talk 1))
