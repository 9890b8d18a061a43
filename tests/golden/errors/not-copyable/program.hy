(import klorpy [simulate-chor])
(import threading)
(defchor share [A B] (-> B) []
  (A->B (A (threading.Lock))))
(simulate-chor share)
