(import klorpy [simulate-chor])
(import threading)
(defchor share [A B] (-> #{A B} A) [lock]
  (A (bool lock)))
(simulate-chor share (threading.Lock))
