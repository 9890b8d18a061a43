(import klorpy [run-role])
(defchor buy [Buyer Seller] (-> Buyer Seller Buyer) [budget price]
  (Buyer (>= budget (Seller->Buyer price))))
(run-role {"role" "Buyer"} buy 50 20)
